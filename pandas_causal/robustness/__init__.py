"""What an answer becomes when an assumption it rests on is relaxed."""
