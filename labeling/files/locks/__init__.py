"""One job at a time in a folder, on a disk or in a bucket."""
