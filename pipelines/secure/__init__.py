"""Who may talk to Spark, and who may read what it leaves on a disk."""
