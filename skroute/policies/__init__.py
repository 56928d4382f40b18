"""Policies that learn: certificates, costs, and what they are compared by."""
