"""A night over an archive: scenes go the whole way, into a series over time, and models get successors."""
