"""The hall of panels: units over time, read once, with when each was first treated."""
