"""The tables of Iqrah et al. 2024 on your scenes."""
