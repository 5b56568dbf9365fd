"""The Hugging Face hub: downloads, its cache, and the owner of the token."""
