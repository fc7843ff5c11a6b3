"""The Spark side: one module per arrow of the data flow, its worker beside it."""
