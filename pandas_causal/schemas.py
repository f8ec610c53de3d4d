"""The schema builders, public: re-exported from inputs."""

from pandas_causal.inputs.schemas import build_schema, check_inputs, validate

__all__ = ["build_schema", "check_inputs", "validate"]
