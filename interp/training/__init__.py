"""Make your own: from a text to a tokenizer and a trained model, step by step."""
