"""The result of every question: estimates, their joint uncertainty, checks and words."""
