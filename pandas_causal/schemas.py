"""The schema builders, public: re-exported from inputs."""

from pandas_causal.inputs.schemas import *  # noqa: F403
