"""The joint samplers: propose, score, choose. Knows joint models and prompts, no task or parser."""
