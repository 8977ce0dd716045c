"""Tests: unit (no sockets), integration (real servers), acceptance (through the gateway only), faults (kills)."""
