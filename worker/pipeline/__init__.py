"""The whole job: recognition, alignment and speakers side by side, made into one transcript."""
