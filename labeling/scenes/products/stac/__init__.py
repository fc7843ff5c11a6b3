"""STAC items as products, whatever catalogue wrote them."""
