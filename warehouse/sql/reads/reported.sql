SELECT as_of, data_through FROM ops.reported
