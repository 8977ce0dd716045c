"""What lies behind the gateway: instances of a service, their health, connections to them."""
