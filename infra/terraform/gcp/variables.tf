variable "project" {
  description = "The project that holds the export and pays for the queries."
  type        = string
}

variable "dataset" {
  description = "The dataset that the billing export is written to."
  type        = string
  default     = "billing_export"
}

variable "create_dataset" {
  description = "Whether to make the dataset; false where the export exists already."
  type        = bool
  default     = true
}

variable "location" {
  description = "EU or US: multi-regions get the charges of the month before as well; it cannot be changed later."
  type        = string
  default     = "EU"
}

variable "kms_key_name" {
  description = "A key of your own for the dataset; Google's by default."
  type        = string
  default     = null
}

variable "gke_service_account" {
  description = "namespace/name of the Kubernetes service account that Trendbreak's pod uses."
  type        = string
  default     = null
  validation {
    condition     = var.gke_service_account == null || can(regex("^[a-z0-9-]+/[a-z0-9-]+$", var.gke_service_account))
    error_message = "Write namespace/name, for example trendbreak/trendbreak."
  }
}

variable "aws_role" {
  description = "The AWS role that Trendbreak runs as, if it runs there."
  type        = object({ account_id = string, name = string })
  default     = null
  validation {
    condition     = var.aws_role == null || can(regex("^[\\w+=,.@-]+$", var.aws_role.name))
    error_message = "The role's name, not its ARN."
  }
}
