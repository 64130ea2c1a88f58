// Package files makes folders and files that outlast a power failure, or are not there. All goes through a file system of
// pebble's vfs, so that tests can let it fail at any operation.
package files
