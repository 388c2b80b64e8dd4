"""Who asks, what they may do, and what is noted of it: identities, roles, scopes, audit."""
