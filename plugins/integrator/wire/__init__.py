"""The only maker of HTTP connections: TLS floor, bounds, who may be reached, retries, throttling."""
