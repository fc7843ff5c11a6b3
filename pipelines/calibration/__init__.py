"""Cut points determined from scenes, with or without hints, and a page to choose by."""
