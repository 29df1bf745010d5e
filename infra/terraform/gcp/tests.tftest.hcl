# terraform test, without a project: the provider is mocked.
mock_provider "google" {}

variables {
  project = "acme-billing"
}

run "the_reader_sees_one_dataset_and_may_query" {
  command = plan
  assert {
    condition     = google_bigquery_dataset_iam_member.reader.role == "roles/bigquery.dataViewer"
    error_message = "the reader may only view, and only this dataset"
  }
  assert {
    condition     = contains(google_project_iam_custom_role.query.permissions, "bigquery.jobs.create") && length(google_project_iam_custom_role.query.permissions) == 3
    error_message = "running and reading queries is all that is allowed on the project"
  }
}

run "nobody_comes_in_unless_named" {
  command = plan
  assert {
    condition     = length(google_iam_workload_identity_pool.outside) == 0 && length(google_service_account_iam_member.gke) == 0
    error_message = "a way in was made that nobody asked for"
  }
}

run "one_aws_role_and_no_other" {
  command = plan
  variables {
    aws_role = { account_id = "123456789012", name = "trendbreak-reader" }
  }
  assert {
    condition     = google_iam_workload_identity_pool_provider.aws[0].attribute_condition == "attribute.aws_role == 'trendbreak-reader'"
    error_message = "the pool must admit this role only"
  }
}

run "an_arn_is_not_a_role_name" {
  command = plan
  variables {
    aws_role = { account_id = "123456789012", name = "arn:aws:iam::123456789012:role/x" }
  }
  expect_failures = [var.aws_role]
}
