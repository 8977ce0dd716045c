"""The migration protocol as a model whose every interleaving is explored."""
