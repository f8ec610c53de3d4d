"""One page of HTML that says what was asked, what the answer is, and what would overturn it."""
