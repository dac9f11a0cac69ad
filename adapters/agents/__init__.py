"""Teams that decide who drives, charges and feeds back."""
