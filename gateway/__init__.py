"""Tollhouse: the gateway between AI agents and model providers."""

__version__ = "0.1.0"
