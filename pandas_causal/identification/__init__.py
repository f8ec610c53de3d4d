"""What a graph determines: adjustment sets, front doors, instruments, the ID algorithm."""
