"""The HTTP/1.1 server under the gateway: strict framing, whole requests, time limits, a drain."""
