"""The HTTP/1.1 server under the gateway: strict framing, whole requests, bounded threads, a drain."""
