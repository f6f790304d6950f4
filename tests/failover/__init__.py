"""kt.failover: agents beside real servers, and a real etcd."""
