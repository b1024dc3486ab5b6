"""AlphaPulse: a control plane for multi-tenant, agent-driven crypto funds."""

__version__ = "0.1.0"
