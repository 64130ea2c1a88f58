"""Makes one call with grpcio's generated code: call.py ADDRESS SERVICE/METHOD.

The messages are JSON, read from standard input and written to standard output. An error is JSON on standard error: the
code and the message as grpcio tells them, and the google.rpc.Status beside them in base64.
"""

import base64
import json
import sys

import grpc
from google.protobuf import descriptor_pool, json_format, message_factory

from engram.v1 import admin_pb2_grpc, flow_pb2_grpc, memory_pb2_grpc

STUBS = {
    "engram.v1.MemoryService": memory_pb2_grpc.MemoryServiceStub,
    "engram.v1.FlowService": flow_pb2_grpc.FlowServiceStub,
    "engram.v1.AdminService": admin_pb2_grpc.AdminServiceStub,
}


def main(address, procedure):
    service, _, name = procedure.partition("/")
    method = descriptor_pool.Default().FindServiceByName(service).FindMethodByName(name)
    request = message_factory.GetMessageClass(method.input_type)
    requests = [json_format.Parse(line, request()) for line in sys.stdin]
    with grpc.insecure_channel(address) as channel:
        call = getattr(STUBS[service](channel), name)
        answer = call(iter(requests) if method.client_streaming else requests[0])
        for response in answer if method.server_streaming else [answer]:
            print(json_format.MessageToJson(response), flush=True)


if __name__ == "__main__":
    try:
        main(*sys.argv[1:])
    except grpc.RpcError as error:
        status = dict(error.trailing_metadata() or ()).get("grpc-status-details-bin", b"")
        said = {"code": error.code().value[0], "message": error.details(), "status": base64.b64encode(status).decode()}
        sys.exit(json.dumps(said))
