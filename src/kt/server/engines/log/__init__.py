"""The update log: what has been changed, in the order of the changes; see update_log.h."""
