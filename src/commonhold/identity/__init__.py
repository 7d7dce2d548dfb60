"""Who: keys, certificates, signed envelopes, short codes, the conversation of joining."""
