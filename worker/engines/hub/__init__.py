"""The Hugging Face hub: downloads, the cache, and the token's owner."""
