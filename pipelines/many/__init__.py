"""Very many scenes at little cost: shared out in batches, opened and looked through by Spark."""
