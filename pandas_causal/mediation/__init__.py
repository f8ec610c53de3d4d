"""Effects through mediators: the front door."""
