"""How right labels and maps are on families of ice and sky that nothing was learnt from."""
