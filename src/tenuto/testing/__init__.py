"""SHIPPED TEST KIT: what stores, hubs and projects are tested with, ours and those of others."""
