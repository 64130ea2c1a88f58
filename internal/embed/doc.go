// Package embed holds the embedders: what turns text into vectors on the server.
//
// Lexical is built in, offline and deterministic. It matches words and spellings, not meaning: its vectors find "drinks
// green tea" for "green tea?", and not for "favourite beverage". OpenAI asks any endpoint that speaks OpenAI's
// /v1/embeddings, Ollama's included; what it understands is the model's affair.
//
// Both implement memory.Embedder. They promise a vector for exactly the text that it was asked for, or an error.
package embed
