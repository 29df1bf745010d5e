output "source" {
  description = "The entry for `sources:` in trendbreak.yml."
  value = {
    name    = "gcp"
    type    = "gcp_billing"
    project = var.project
    dataset = var.dataset
  }
}

output "service_account" {
  description = "Who reads; annotate the Kubernetes service account with it."
  value       = google_service_account.reader.email
}
