"""Streams observations into engram and recalls on the same stream, with nothing but grpcio.

It goes through what a client has to do by itself where there is no SDK: number the observations, keep them until an Ack
says committed, and after a lost connection resume the session and send again what may be missing.

    python3 examples/python/memory_flow.py 127.0.0.1:7320

README.md beside this file says how to install grpcio and to generate the engram.v1 modules.
"""

import queue
import sys

import grpc

from engram.v1 import flow_pb2, flow_pb2_grpc, memory_pb2


class Stream:
    """One MemoryFlow stream: frames are sent as they come, and received one by one."""

    def __init__(self, channel, hello):
        self._frames = queue.Queue()
        self._call = flow_pb2_grpc.FlowServiceStub(channel).MemoryFlow(iter(self._frames.get, None))
        self.send(hello=hello)
        self.welcome = self.receive("welcome")

    def send(self, **frame):
        self._frames.put(flow_pb2.MemoryFlowRequest(**frame))

    def receive(self, kind):
        """Returns the next frame of a kind, or raises what ended the stream. Credit, say, may come in between."""
        for response in self._call:
            if response.WhichOneof("frame") == kind:
                return getattr(response, kind)
            if response.HasField("nack"):
                raise RuntimeError(f"not taken, to be sent again: {response.nack}")
        raise EOFError(f"the stream ended before a {kind}")

    def observe(self, first_sequence, observations):
        self.send(observe=flow_pb2.ObserveBatch(first_sequence=first_sequence, observations=observations))

    def wait_committed(self, through):
        """Waits until everything up to a number is on disk and found by recalls."""
        while (ack := self.receive("ack")).committed_through < through:
            pass
        return ack

    def recall(self, recall_id, vector, limit):
        query = memory_pb2.RecallQuery(embedding=vector, limit=limit, include_content=True)
        self.send(recall=flow_pb2.RecallOp(recall_id=recall_id, query=query))

    def hits(self, recall_id):
        found = []
        for response in self._call:
            if response.recall_chunk.recall_id == recall_id:
                found += response.recall_chunk.hits
            if response.recall_done.recall_id == recall_id:
                if response.recall_done.code != 0:
                    raise RuntimeError(response.recall_done.reason)
                return found
        raise EOFError("the stream ended before the recall did")

    def disconnect(self):
        """Ends the stream as a lost connection does: no Goodbye."""
        self._call.cancel()
        self._frames.put(None)

    def goodbye(self):
        self.send(goodbye=flow_pb2.Goodbye(end_session=True))
        self._frames.put(None)
        return self.receive("closed")


def observation(name, *vector):
    return memory_pb2.Observation(memory_id=name, content=f"all about {name}", embedding=vector)


def main(address):
    with grpc.insecure_channel(address) as channel:
        hello = flow_pb2.Hello(space="python")
        stream = Stream(channel, hello)
        print("opened", stream.welcome.session_id)

        # Number 1 is acked before the recall asks, so the recall has to find it; 2 and 3 are on their way meanwhile.
        sent = [observation("tea", 1, 0), observation("run", 0, 1), observation("sun", 0.6, 0.8)]
        stream.observe(1, sent[:1])
        committed = stream.wait_committed(1).committed_through
        print("committed", committed)
        stream.observe(2, sent[1:])
        stream.recall(1, [1, 0], limit=1)
        for hit in stream.hits(1):
            print("recalled", hit.memory_id, hit.content)
        stream.disconnect()

        # Whether 2 and 3 were stored is not known: Welcome says how far the server came, and the rest is sent again.
        hello.session_id, hello.resume_token = stream.welcome.session_id, stream.welcome.resume_token
        hello.last_committed_sequence = committed
        stream = Stream(channel, hello)
        print("resumed", stream.welcome.resumed, "epoch", stream.welcome.epoch)
        settled = stream.welcome.committed_through
        assert committed <= settled <= len(sent), settled

        # Sending all of it would do as well: the server trims what it has.
        sent.append(observation("sea", 0.8, 0.6))
        stream.observe(1, sent)
        print("committed", stream.wait_committed(len(sent)).committed_through)
        stream.recall(2, [1, 0], limit=10)
        print("recalled", *(hit.memory_id for hit in stream.hits(2)))
        closed = stream.goodbye()
        print("closed at", closed.final_sequence, "session ended", closed.session_ended)


if __name__ == "__main__":
    main(sys.argv[1] if len(sys.argv) > 1 else "127.0.0.1:7320")
