# What Trendbreak needs of Google Cloud: a dataset for the billing export, a service account that may read it and run
# queries, and nothing else; and a way in without a key: workload identity, on GKE or from another cloud.
#
# The export itself is switched on by hand, once, in the console (Billing → Billing export → BigQuery export →
# Detailed usage cost): Google has no API for it.

terraform {
  required_version = ">= 1.7"
  required_providers {
    google = {
      source  = "hashicorp/google"
      version = ">= 5.30, < 8.0"
    }
  }
}

resource "google_project_service" "needed" {
  for_each           = toset(["bigquery.googleapis.com", "iamcredentials.googleapis.com", "sts.googleapis.com"])
  project            = var.project
  service            = each.value
  disable_on_destroy = false
}

resource "google_bigquery_dataset" "billing" {
  #checkov:skip=CKV_GCP_81:Google's own key encrypts it; set kms_key_name for one of yours
  count                      = var.create_dataset ? 1 : 0
  project                    = var.project
  dataset_id                 = var.dataset
  location                   = var.location # cannot be changed later; EU and US begin with last month's charges
  description                = "Cloud Billing export, read by Trendbreak"
  delete_contents_on_destroy = false
  dynamic "default_encryption_configuration" {
    for_each = var.kms_key_name == null ? [] : [var.kms_key_name]
    content {
      kms_key_name = default_encryption_configuration.value
    }
  }
  depends_on = [google_project_service.needed]
}

resource "google_service_account" "reader" {
  project      = var.project
  account_id   = "trendbreak-reader"
  display_name = "Reads the billing export for Trendbreak"
}

# On the dataset, not on the project: other datasets stay closed.
resource "google_bigquery_dataset_iam_member" "reader" {
  project    = var.project
  dataset_id = var.create_dataset ? google_bigquery_dataset.billing[0].dataset_id : var.dataset
  role       = "roles/bigquery.dataViewer"
  member     = google_service_account.reader.member
}

# Running a query is a right on the project that pays for it; a role of its own, because roles/bigquery.jobUser may
# also create jobs of other kinds and list them.
resource "google_project_iam_custom_role" "query" {
  project     = var.project
  role_id     = "trendbreakQuery"
  title       = "Run queries for Trendbreak"
  permissions = ["bigquery.jobs.create", "bigquery.readsessions.create", "bigquery.readsessions.getData"]
}

resource "google_project_iam_member" "query" {
  project = var.project
  role    = google_project_iam_custom_role.query.id
  member  = google_service_account.reader.member
}

# GKE: the pod's Kubernetes service account is the service account, without a key.
resource "google_service_account_iam_member" "gke" {
  count              = var.gke_service_account == null ? 0 : 1
  service_account_id = google_service_account.reader.name
  role               = "roles/iam.workloadIdentityUser"
  member             = "serviceAccount:${var.project}.svc.id.goog[${var.gke_service_account}]"
}

# From AWS: the role that Trendbreak runs as may act as the service account, without a key.
resource "google_iam_workload_identity_pool" "outside" {
  count                     = var.aws_role == null ? 0 : 1
  project                   = var.project
  workload_identity_pool_id = "trendbreak"
  display_name              = "Trendbreak"
  depends_on                = [google_project_service.needed]
}

resource "google_iam_workload_identity_pool_provider" "aws" {
  #checkov:skip=CKV_GCP_125:the check is for GitHub Actions; this provider is AWS's, and its condition admits one role
  count                              = var.aws_role == null ? 0 : 1
  project                            = var.project
  workload_identity_pool_id          = google_iam_workload_identity_pool.outside[0].workload_identity_pool_id
  workload_identity_pool_provider_id = "aws"
  attribute_mapping = {
    "google.subject"     = "assertion.arn"
    "attribute.aws_role" = "assertion.arn.extract('assumed-role/{role}/')"
  }
  # Without a condition every role of the account could come in.
  attribute_condition = "attribute.aws_role == '${var.aws_role.name}'"
  aws {
    account_id = var.aws_role.account_id
  }
}

resource "google_service_account_iam_member" "aws" {
  count              = var.aws_role == null ? 0 : 1
  service_account_id = google_service_account.reader.name
  role               = "roles/iam.workloadIdentityUser"
  member             = "principalSet://iam.googleapis.com/${google_iam_workload_identity_pool.outside[0].name}/attribute.aws_role/${var.aws_role.name}"
}
