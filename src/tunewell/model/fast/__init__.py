"""Faster forms of the layers that training spends its time in; each module tells why, and what it gained."""
