"""Very many scenes at little cost: told apart, shared out in batches, opened and looked through by Spark."""
