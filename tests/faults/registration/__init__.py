"""Registration over two services, killed and stopped wherever it can be."""
