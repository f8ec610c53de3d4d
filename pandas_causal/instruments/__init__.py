"""Instrumental variables: effects of treatments that something outside moves."""
