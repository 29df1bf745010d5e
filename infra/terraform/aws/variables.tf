variable "region" {
  description = "The region of the bucket, and of the provider."
  type        = string
}

variable "bucket_name" {
  description = "The bucket's name; by default trendbreak-billing-<account>."
  type        = string
  default     = null
}

variable "export_name" {
  description = "The data export's name, which is also a folder in the bucket."
  type        = string
  default     = "focus"
  validation {
    condition     = can(regex("^[0-9A-Za-z!\\-_.*'()]{1,128}$", var.export_name))
    error_message = "An export's name has 1 to 128 letters, digits and !-_.*'()."
  }
}

variable "export_prefix" {
  description = "The folder of the bucket that exports stand in."
  type        = string
  default     = "exports"
}

variable "trusted_principal_arns" {
  description = "Who may assume the reader role from outside: role or user ARNs. Never an account as a whole."
  type        = list(string)
  default     = []
  validation {
    condition     = alltrue([for arn in var.trusted_principal_arns : !endswith(arn, ":root") && arn != "*"])
    error_message = "Name roles or users: a whole account, or everyone, is too many."
  }
}

variable "external_id" {
  description = "What the one who assumes the role must say; the key `external_id` of the source."
  type        = string
  default     = null
  validation {
    condition     = var.external_id == null || (length(coalesce(var.external_id, "-")) >= 16 && can(regex("^[\\w+=,.@:/-]+$", var.external_id)))
    error_message = "At least 16 characters of the set that AWS allows: it should not be guessed."
  }
}

variable "allow_cost_explorer" {
  description = "Whether the role may ask Cost Explorer: history on day one, at $0.01 a request."
  type        = bool
  default     = false
}

variable "superseded_days" {
  description = "How long versions of export files that AWS has replaced are kept."
  type        = number
  default     = 90
}

variable "access_log_bucket" {
  description = "A bucket for S3 access logs, if you keep them."
  type        = string
  default     = null
}

variable "machine" {
  description = "One machine to run on; null makes none. The subnet must reach the internet through a NAT gateway."
  type = object({
    ami           = string
    subnet_id     = string
    vpc_id        = string
    instance_type = optional(string, "t3.large")
    disk_gib      = optional(number, 100)
  })
  default = null
}
