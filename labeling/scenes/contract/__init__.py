"""What every scene and product promises, and what their readers share: renderings, one grid."""
