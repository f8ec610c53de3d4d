"""The hall of designs that compare arms of rows: samples, estimands, overlap and balance."""
