"""Databases on a cluster of Valkey or Redis, for clients and for the gateway."""
