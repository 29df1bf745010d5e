# terraform test, without an account: the provider is mocked, so these are checks of what would be asked for.
mock_provider "aws" {
  mock_data "aws_caller_identity" {
    defaults = { account_id = "123456789012" }
  }
  mock_data "aws_partition" {
    defaults = { partition = "aws" }
  }
  mock_data "aws_iam_policy_document" {
    defaults = { json = "{\"Version\":\"2012-10-17\",\"Statement\":[]}" }
  }
}

variables {
  region                 = "eu-central-1"
  trusted_principal_arns = ["arn:aws:iam::210987654321:role/trendbreak"]
  external_id            = "an-id-that-nobody-guesses"
}

run "the_bucket_is_private_encrypted_and_versioned" {
  command = plan
  assert {
    condition = alltrue([
      aws_s3_bucket_public_access_block.billing.block_public_acls,
      aws_s3_bucket_public_access_block.billing.block_public_policy,
      aws_s3_bucket_public_access_block.billing.ignore_public_acls,
      aws_s3_bucket_public_access_block.billing.restrict_public_buckets,
    ])
    error_message = "public access must be blocked in all four ways"
  }
  assert {
    condition     = aws_s3_bucket_versioning.billing.versioning_configuration[0].status == "Enabled"
    error_message = "the bucket must be versioned"
  }
  assert {
    condition     = one(aws_s3_bucket_server_side_encryption_configuration.billing.rule).apply_server_side_encryption_by_default[0].sse_algorithm == "aws:kms"
    error_message = "the bucket must be encrypted with its key"
  }
  assert {
    condition     = aws_kms_key.billing.enable_key_rotation
    error_message = "the key must rotate"
  }
}

run "the_export_is_focus_1_2_in_parquet" {
  command = plan
  assert {
    condition     = endswith(aws_bcmdataexports_export.focus.export[0].data_query[0].query_statement, "FROM FOCUS_1_2_AWS")
    error_message = "the export must be FOCUS 1.2"
  }
  assert {
    condition     = strcontains(aws_bcmdataexports_export.focus.export[0].data_query[0].query_statement, "EffectiveCost") && strcontains(aws_bcmdataexports_export.focus.export[0].data_query[0].query_statement, "Tags")
    error_message = "the export must hold costs and tags"
  }
}

run "without_a_machine_none_is_made" {
  command = plan
  assert {
    condition     = length(aws_instance.machine) == 0 && length(aws_ebs_volume.home) == 0
    error_message = "a machine was made that nobody asked for"
  }
}

run "a_machine_has_no_open_port_an_encrypted_disk_and_tokens" {
  command = plan
  variables {
    machine = { ami = "ami-0123456789abcdef0", subnet_id = "subnet-1", vpc_id = "vpc-1" }
  }
  assert {
    condition     = length(aws_security_group.machine[0].ingress) == 0
    error_message = "nothing may come in"
  }
  assert {
    condition     = aws_ebs_volume.home[0].encrypted && aws_instance.machine[0].metadata_options[0].http_tokens == "required"
    error_message = "the disk must be encrypted and the metadata service must ask for tokens"
  }
}

run "a_whole_account_cannot_be_trusted" {
  command = plan
  variables {
    trusted_principal_arns = ["arn:aws:iam::210987654321:root"]
  }
  expect_failures = [var.trusted_principal_arns]
}

run "a_short_external_id_is_refused" {
  command = plan
  variables {
    external_id = "short"
  }
  expect_failures = [var.external_id]
}

run "a_role_that_nobody_can_assume_is_refused" {
  command = plan
  variables {
    trusted_principal_arns = []
  }
  expect_failures = [aws_iam_role.reader]
}

run "nobody_from_outside_without_an_external_id" {
  command = plan
  variables {
    external_id = null
  }
  expect_failures = [aws_iam_role.reader]
}
